"""`python -m kaozheng_service`, the same as `kaozheng`."""

from kaozheng_service.cli import main

main()
