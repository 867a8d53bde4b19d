"""EMD of the National Center for Electron Microscopy (Berkeley), and what py4DSTEM and Prismatic write in it."""
