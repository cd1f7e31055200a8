# What all plots share: where the numbers are, and one colour and name for each system.
set terminal svg size 860, 480 dynamic enhanced font 'sans-serif,14' background '#ffffff'
set encoding utf8
set datafile separator '\t'
set grid ytics lc rgb '#dddddd'
set border 3 lc rgb '#666666'
set tics nomirror
set key outside right top Left reverse spacing 1.3 samplen 2
set style data linespoints

systems = "insert ledger ledger_order redis_everysec redis_always update audited pessimistic optimistic"
colours = "#999999 #0072b2 #56b4e9 #e69f00 #b37700 #d55e00 #cc79a7 #009e73 #000000"
names = "'bare INSERT' 'ledger' 'ledger + order row' 'Redis (everysec) + INSERT' 'Redis (always) + INSERT' 'conditional UPDATE' 'the same + audit trigger' 'SELECT FOR UPDATE' 'optimistic, versions'"
place(s) = sum [i = 1:words(systems)] (word(systems, i) eq s ? i : 0)
colour(s) = word(colours, place(s))
name(s) = word(names, place(s))

# The lines of a file in which each field named is what is wanted.
file(tsv) = sprintf("%s/%s.tsv", results, tsv)
where(tsv, condition) = sprintf("< awk -F '\\t' '%s' %s", condition, file(tsv))
