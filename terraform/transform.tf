# transform: service, account, subscription and the rights of every step are in functions.tf. Beyond them it has only the
# loading dataset (datasets.tf): the work is a query, and no object is read.
