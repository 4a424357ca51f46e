"""The pages in a real browser, as people meet them."""
