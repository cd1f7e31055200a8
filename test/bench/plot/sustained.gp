set terminal svg size 860, 760
set multiplot layout 3, 1
set lmargin 10
set rmargin 26
set xlabel 'minutes'
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
set title 'Table and indexes of the movements; the tail at the end of a turn'
set ylabel 'MB'
set y2label 'transfers'
set y2tics
set yrange [0:*]
set y2range [0:*]
plot for [s in both] line(s) using 1:($7 + $8) lw 2 lc rgb colour(s) title name(s), \
    line('ledger') using 1:10 axes x1y2 lw 1 dt 2 lc rgb colour('ledger') title "ledger's longest tail"
unset multiplot
