set title 'One hot SKU, 64 clients: how long a sale takes'
set xlabel 'share of the sales that took no longer'
set ylabel 'ms (logarithmic)'
set logscale y 10
set xrange [0.7:5.3]
set xtics ('50%%' 1, '95%%' 2, '99%%' 3, '99.9%%' 4, 'all' 5)
# The percentiles stand in columns 5 to 9 of one line.
percentiles(s) = sprintf("< awk -F '\\t' '$1 == 64 && $2 == \"%s\" { for (i = 5; i <= 9; i++) print i - 4 \"\\t\" $i }' %s", s, file('peers'))
plot for [s in systems] percentiles(s) using 1:2 lw 2 pt 7 ps 0.6 lc rgb colour(s) title name(s)
