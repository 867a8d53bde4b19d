"""Taking people, computers and places on disks out of what DIADEM derived, and finding them in what it did not."""
