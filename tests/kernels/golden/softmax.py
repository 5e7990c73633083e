def softmax(args, lo, hi):
    x = float32_buffer(args, 0)
    out = float32_buffer(args, 1)
    m = args[2]
    n = args[3]
    e = float32_buffer(args, 4)
    for i in range(lo, hi):
        row = i * n
        peak_acc = float32(-inf)
        for k in range(n):
            peak_acc = fast_maximum(peak_acc, x[row + k])
        peak = peak_acc
        total_acc = float32(0.0)
        for j in range(n):
            e[j] = exp(x[row + j] - peak)
            total_acc = fast_add(total_acc, e[j])
        total = total_acc
        for j_1 in range(n):
            out[row + j_1] = e[j_1] / total
