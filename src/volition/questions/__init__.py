"""What is put to a judge: how a state is seen, what covers an environment, what is worth asking."""
