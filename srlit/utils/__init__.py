"""Small tools of all rooms: atomic files, locks, downloads."""
