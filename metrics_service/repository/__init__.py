"""All of the metrics service's SQL: `totals` adds up, `facts` reads, `days`, `fees` and `runs` keep what they name."""
