set terminal svg size 860, 1000
set multiplot layout 4, 1
set lmargin 11
set rmargin 26
set xlabel 'minutes'
set xrange [0:*] noextend
set style data lines
both = "ledger update"
line(s) = where('sustained', sprintf('$2 == "%s"', s))
set title 'One hot SKU, 64 clients, in turns: sales a second'
set ylabel 'sales/s (logarithmic)'
set logscale y 10
set format y '%.0f'
plot for [s in both] line(s) using 1:3 lw 2 lc rgb colour(s) title name(s)
set title 'p99 of each turn'
set ylabel 'ms (logarithmic)'
plot for [s in both] line(s) using 1:5 lw 2 lc rgb colour(s) title name(s)
unset logscale y
set yrange [0:*]
set title 'Table and indexes of what was sold'
set ylabel 'MB'
plot for [s in both] line(s) using 1:($7 + $8) lw 2 lc rgb colour(s) title name(s)
set title "The ledger's longest tail at the end of its turn"
set ylabel 'transfers not folded'
plot line('ledger') using 1:10 lw 2 lc rgb colour('ledger') notitle
unset multiplot
