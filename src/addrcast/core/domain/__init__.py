"""The words of the system: accounts, addresses, records, transactions, demand."""
