set title 'One hot SKU, 64 clients, long transactions and a pg\_dump open meanwhile'
set ylabel 'sales/s'
set yrange [0:*]
set style data histograms
set style histogram clustered gap 1.5
set style fill solid
plot for [s in "ledger update"] where('horizon', sprintf('$2 == "%s"', s)) using 3:xtic(1) lc rgb colour(s) title name(s)
