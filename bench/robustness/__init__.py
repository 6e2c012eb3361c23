"""What holds: every kind of file, a full disk, a training that is killed or made again."""
