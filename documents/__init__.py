"""What makes pages, PDFs and slides of docs/; it may import tools, and tools never imports it."""
