"""Learners behind the forecaster port: gradient boosting for the need."""
