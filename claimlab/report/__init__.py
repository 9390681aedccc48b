"""Records -> one self-contained HTML page with figures. Reads records and draws; measures nothing."""
