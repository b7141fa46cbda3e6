int was_there(int x);
