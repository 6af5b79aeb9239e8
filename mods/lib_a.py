SCALE = 2
def scaled(x):
    return x * SCALE
