"""The public test kit: the inline mini-cluster, the operator harness, the manual clock."""
