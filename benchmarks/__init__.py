"""What lcseg does in a second, beside the limit that it is measured against.

python -m benchmarks                # all of them
python -m benchmarks predict        # one
"""
