"""Kernel translation tables behind the kernel port."""
