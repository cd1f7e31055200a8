# Replays the audit log of the tables of a schema, and compares the result with the tables.
# Each record has to fit what the records before it have made: an INSERT needs a free key, an
# UPDATE and a DELETE need the very row that they name as old.
package AuditReplay;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(replay_query replay_problems);

# SQL whose output replay_problems takes: the log's records and the rows of the schema.
# $tables: names of the tables, and of partitions where rows are.
sub replay_query
{
	my ($schema, @tables) = @_;
	my $rows = join '', map {
		"SELECT 'row', '$schema.$_', row_to_json(t)::text FROM $schema.$_ AS t;\n"
	} @tables;
	# A lane may be ahead of the clock by the records of one large statement, and no more.
	return qq{
		SELECT 'log', txid, at_us, seq, relation, operation, coalesce(old, ''), coalesce(new, '') FROM ledger.audit_records
		WHERE relation_oid IN (SELECT oid FROM pg_class WHERE relnamespace = '$schema'::regnamespace) AND operation NOT IN ('ENABLE', 'DDL')
		AND id > coalesce(nullif(current_setting('test.start', true), '')::bigint, 0) - (60000::bigint << 22) ORDER BY id;
		$rows};
}

# A row's key: the values of id and, where there is one, b. The row itself for tables without a key.
sub key_of
{
	my ($row, $has_key) = @_;
	return $row if !$has_key;
	my ($id) = $row =~ /"id":([^,}]*)/;
	my ($b) = $row =~ /"b":([^,}]*)/;
	return defined $b ? "$id/$b" : $id;
}

# One record. Returns a problem, or nothing.
sub apply
{
	my ($rows, $record, $has_key) = @_;
	my (undef, undef, undef, undef, undef, $operation, $old, $new) = @$record;
	if ($operation eq 'TRUNCATE') { %$rows = (); return; }
	if ($operation eq 'UPDATE' || $operation eq 'DELETE')
	{
		my $key = key_of($old, $has_key);
		my $there = $rows->{$key};
		return 'the old row is not there' if !$there;
		return "the row is $there->[0]" if $there->[0] ne $old;
		delete $rows->{$key} if --$there->[1] == 0;
	}
	if ($operation eq 'UPDATE' || $operation eq 'INSERT')
	{
		my $there = $rows->{ key_of($new, $has_key) } //= [ $new, 0 ];
		return 'the key is not free' if $has_key && $there->[1] > 0;
		++$there->[1];
	}
	return;
}

sub replay
{
	my ($records, $actual, $has_key, $name) = @_;
	my (%tables, @problems);
	foreach my $record (@$records)
	{
		my $relation = $record->[4];
		my $problem = apply($tables{$relation} //= {}, $record, $has_key->($relation));
		push @problems, "$name: $problem: " . join(' ', @$record) if defined $problem;
	}
	foreach my $relation (sort keys %{ { %tables, %$actual } })
	{
		my %left = %{ $actual->{$relation} // {} };
		foreach my $there (values %{ $tables{$relation} // {} }) { $left{ $there->[0] } -= $there->[1]; }
		push @problems, "$name: $relation has $left{$_} more than the log says of $_" foreach sort grep { $left{$_} } keys %left;
	}
	return @problems;
}

# What is wrong with the output of replay_query. $has_key says of a relation, named with its
# schema, whether it has a primary key: id, or id and b. The log is replayed by transaction and
# number, and by time and number.
sub replay_problems
{
	my ($output, $has_key) = @_;
	my (@records, %actual);
	foreach my $line (split /\n/, $output)
	{
		my @fields = split /\t/, $line, -1;
		if ($fields[0] eq 'log') { push @records, \@fields; }
		elsif ($fields[0] eq 'row') { ++$actual{ $fields[1] }{ $fields[2] }; }
	}
	my @by_number = sort { $a->[1] <=> $b->[1] || $a->[3] <=> $b->[3] } @records;
	my @by_time = sort { $a->[2] <=> $b->[2] || $a->[3] <=> $b->[3] } @records;
	return (scalar(@records), replay(\@by_number, \%actual, $has_key, 'by number'), replay(\@by_time, \%actual, $has_key, 'by time'));
}

1;
