"""The site: its pages, and the code that makes those which nobody should keep by hand.

hooks            what mkdocs calls while it builds      reference_pages  code -> tables of flags, columns, parts
make_pictures    the tutorial's pictures, from a real run of its commands
"""
