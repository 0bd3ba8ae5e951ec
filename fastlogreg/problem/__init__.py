"""What is minimized: a source of rows, a loss, a penalty and the shape of theta."""
