"""`make bench`: what each part costs, as ratios against a baseline named in the same run."""
