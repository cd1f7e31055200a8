set title 'One hot SKU: sales a second'
set xlabel 'clients'
set ylabel 'sales/s (logarithmic)'
set logscale x 2
set logscale y 10
set xrange [6:270]
set xtics (8, 64, 200)
set format y '%.0f'
plot for [s in systems] where('peers', sprintf('$2 == "%s"', s)) using 1:3 lw 2 pt 7 ps 0.6 lc rgb colour(s) title name(s)
