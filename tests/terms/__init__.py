"""Units and dates as files write them."""
