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
        if n <= 1024:
            for k in range(n):
                total_acc = fast_add(total_acc, x[row + k])
        else:
            total_acc_total = 0.0
            for k_block in range((n + 1023) // 1024):
                total_acc_part = float32(0.0)
                for k_inner in range(k_block * 1024, min(n, 1024 * k_block + 1024)):
                    total_acc_part = fast_add(total_acc_part, x[row + k_inner])
                total_acc_total = total_acc_total + float64(total_acc_part)
            total_acc = total_acc + float32(total_acc_total)
        total = total_acc
        mean = total / float32(n)
        spread_acc = float32(0.0)
        if n <= 1024:
            for k_1 in range(n):
                spread_acc = fast_add(spread_acc, fast_multiply(x[row + k_1] - mean, x[row + k_1] - mean))
        else:
            spread_acc_total = 0.0
            for k_1_block in range((n + 1023) // 1024):
                spread_acc_part = float32(0.0)
                for k_1_inner in range(k_1_block * 1024, min(n, 1024 * k_1_block + 1024)):
                    spread_acc_part = fast_add(spread_acc_part, fast_multiply(x[row + k_1_inner] - mean, x[row + k_1_inner] - mean))
                spread_acc_total = spread_acc_total + float64(spread_acc_part)
            spread_acc = spread_acc + float32(spread_acc_total)
        spread = spread_acc
        for j in range(n):
            out[row + j] = (x[row + j] - mean) * rsqrt(spread / float32(n) + float32(1e-05)) * scale[j] + shift[j]
