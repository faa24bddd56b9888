from infra import program

program.main()
