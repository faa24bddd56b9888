"""What builds the deployment packages and is in none of them."""
