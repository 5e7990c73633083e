def turned(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    doubled = float32_buffer(args, 4)
    phase = args[5]
    count = float32_buffer(args, 6)
    if phase == 0:
        for k in range(lo, hi):
            doubled[k] = x[k] * float32(2.0)
    elif phase == 1:
        count[3] = float32(0.0)
        for i in range(lo, hi):
            row = i * n
            for j in range(n):
                out[row + j] = doubled[n - j - 1] + count[3]
