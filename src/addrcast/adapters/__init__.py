"""The world as it is: stores, kernel tables, files, forecasting libraries."""
