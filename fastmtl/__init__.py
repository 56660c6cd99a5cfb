"""Auxiliary data selection by feature similarity (Kung et al., EMNLP 2021), usable without the service."""
