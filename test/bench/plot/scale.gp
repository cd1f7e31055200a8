set terminal svg size 1240, 460
set multiplot layout 1, 3
set ylabel 'mean ms a call, 8 clients'
set logscale x 10
set yrange [0:*]
set format x '10^{%T}'
set key outside bottom center vertical maxrows 3
calls = "ledger/transfer update/transfer ledger/balance update/balance ledger/deduct_stock"
titles = "'transfer' 'UPDATE, UPDATE, INSERT' 'balance()' 'SELECT balance' 'deduct\\_stock'"
points = "7 7 6 6 9"
who(call) = call[1:strstrt(call, '/') - 1]
what(call) = call[strstrt(call, '/') + 1:*]
line(curve, call) = where('scale', sprintf('$1 == "%s" && $3 == "%s" && $4 == "%s"', curve, who(call), what(call)))
do for [curve in "accounts transfers"] {
    set title 'Growing: ' . curve
    set xlabel curve
    plot for [i = 1:(curve eq 'accounts' ? 4 : 5)] line(curve, word(calls, i)) using 2:6 lw 2 pt int(word(points, i)) ps 0.7 \
        lc rgb colour(who(word(calls, i))) title word(titles, i)
}
set title 'After a crash'
set ylabel 'ms'
plot file('scale_first') using 1:2 lw 2 pt 7 ps 0.7 lc rgb '#666666' title 'first write in the database', \
    file('scale_first') using 1:3 lw 2 pt 9 ps 0.7 lc rgb colour('ledger') title 'first deduct\_stock of a SKU', \
    file('scale_first') using 1:4 lw 2 pt 6 ps 0.7 lc rgb colour('ledger') title 'its second'
unset multiplot
