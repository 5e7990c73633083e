def argmax(args, lo, hi):
    x = float32_buffer(args, 0)
    out = int64_buffer(args, 1)
    m = args[2]
    n = args[3]
    for i in range(lo, hi):
        row = i * n
        out_acc = -1
        out_state_acc = float32(-inf)
        for k in range(n):
            out_next = k
            out_state_next = x[row + k]
            out_new = out_acc if (out_state_acc > out_state_next) | (out_state_acc == out_state_next) & (out_acc < out_next) & (out_acc >= 0) else out_next
            out_state_new = out_state_acc if (out_state_acc > out_state_next) | (out_state_acc == out_state_next) & (out_acc < out_next) & (out_acc >= 0) else out_state_next
            out_acc = out_new
            out_state_acc = out_state_new
        out[i] = out_acc
