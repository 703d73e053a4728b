// Lets cluster.go declare a function that another package has.
