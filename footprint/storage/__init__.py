"""Storage: the database, its schema and its migrations. The only place that defines SQL tables and opens sessions."""
