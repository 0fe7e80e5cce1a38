# views: service, account, subscription and the rights of every step are in functions.tf. Beyond them it has the datasets
# (datasets.tf): it copies from the loading dataset, and writes the published one.
