// Lets main.go declare functions without bodies, which the linker takes from memberlist.
