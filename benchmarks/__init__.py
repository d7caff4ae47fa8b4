"""What lcseg does in a second, beside the limit that it is measured against.

python -m benchmarks                # all of them
python -m benchmarks predict        # one
python -m benchmarks chaos          # workers that are killed at random, and what becomes of them
"""
