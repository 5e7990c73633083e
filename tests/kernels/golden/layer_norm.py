def layer_norm(args, lo, hi):
    x = float32_buffer(args, 0)
    scale = float32_buffer(args, 1)
    shift = float32_buffer(args, 2)
    out = float32_buffer(args, 3)
    m = args[4]
    n = args[5]
    for i in range(lo, hi):
        row = i * n
        total_acc = float32(0.0)
        for k in range(n):
            total_acc = fast_add(total_acc, x[row + k])
        total = total_acc
        mean = total / float32(n)
        spread_acc = float32(0.0)
        for k_1 in range(n):
            spread_acc = fast_add(spread_acc, fast_multiply(x[row + k_1] - mean, x[row + k_1] - mean))
        spread = spread_acc
        for j in range(n):
            out[row + j] = (x[row + j] - mean) * rsqrt(spread / float32(n) + float32(1e-05)) * scale[j] + shift[j]
