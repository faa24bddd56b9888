"""HeartMAP in Azure API Management."""

from apim import main

main()
