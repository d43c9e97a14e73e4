"""Files of users as arrays and labels: tables, features and the answers of teachers, by path or URL."""
