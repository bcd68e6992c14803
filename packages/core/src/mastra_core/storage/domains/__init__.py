"""The storage domains, each written once over the waist."""
