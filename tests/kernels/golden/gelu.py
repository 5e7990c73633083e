def gelu_1(args, lo, hi):
    x = float32_buffer(args, 0)
    y = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    for i_j in range(lo, hi):
        hidden = x[i_j] * y[i_j] + float32(1.0)
        out[i_j] = hidden * float32(0.5) * (float32(1.0) + erf(hidden * float32(0.70710678)))
