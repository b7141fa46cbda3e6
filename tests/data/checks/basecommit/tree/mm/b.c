int b;
int d;
