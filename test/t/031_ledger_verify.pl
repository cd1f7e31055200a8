# ledger_verify on exports: it finds every way of tampering with one, calls it by
# its name, and tells it once. No server: the export and the proofs are the test
# vectors, and what a forger with all rights could do is done here, in Perl.

use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(sha256 sha256_hex);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

my $verify = "$ENV{LEDGER_BUILD}/ledger_verify";
my $vectors = dirname(__FILE__) . '/../vectors';
my $scratch = tempdir(CLEANUP => 1);

my %columns = (
	transfer => [qw(id lane seq kind debit_account credit_account amount ref txid created_us metadata hash)],
	audit    => [
		qw(id lane seq txid at_us relation_oid relation operation key old new actor acting_as application
			client hash)
	],
	seal => [
		qw(number sealed_us transfers transfer_root audits audit_root from_id until_id heads previous hash)
	],
);
my %file = (transfer => 'transfers.copy', audit => 'audit.copy', seal => 'seals.copy');
my %scope_number = (transfer => 1, audit => 2, seal => 3);
my %is_text = map { $_ => 1 }
	qw(metadata relation operation key old new actor acting_as application client);

# --- running it ---------------------------------------------------------------

sub spew {
	my ($name, $content) = @_;
	open my $out, '>:raw', $name or die "$name: $!";
	print $out $content;
	close $out or die "$name: $!";
	return $name;
}

sub slurp {
	my ($name) = @_;
	open my $in, '<:raw', $name or die "$name: $!";
	local $/ = undef;
	return scalar <$in>;
}

# Returns the exit status, stdout and stderr.
sub run_verify {
	my @arguments = @_;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0) {
		open STDOUT, '>', "$scratch/stdout" or die $!;
		open STDERR, '>', "$scratch/stderr" or die $!;
		exec $verify, @arguments or die "$verify: $!";
	}
	waitpid $pid, 0;
	my $status = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
	return ($status, slurp("$scratch/stdout"), slurp("$scratch/stderr"));
}

# The findings, each as "altered transfer 3/12" or "missing transfer 3/12..14".
sub findings {
	my ($json) = @_;
	my @told;
	for my $finding (@{ $json->{findings} }) {
		my $place = $finding->{seq} // '';
		$place = "$finding->{lane}/$place"  if defined $finding->{lane};
		$place = "$place..$finding->{to}" if defined $finding->{to} && $finding->{to} != $finding->{seq};
		push @told, "$finding->{problem} $finding->{scope} $place";
	}
	return sort @told;
}

sub finds {
	my ($what, $expected, @arguments) = @_;
	my ($status, $stdout) = run_verify('--json', @arguments);
	my $json = eval { JSON::PP->new->utf8->decode($stdout) } // {};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $good = grep({ $_ eq '--digest' } @arguments) ? 0 : 3;    # consistent: there is nothing to compare with
	is_deeply([ $status, findings($json) ], [ @$expected ? 1 : $good, sort @$expected ], $what)
		or diag $stdout, slurp("$scratch/stderr");
}

sub cannot {
	my ($what, $message, @arguments) = @_;
	my ($status, $stdout, $stderr) = run_verify(@arguments);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	subtest $what => sub {
		is($status, 2, 'exit status');
		like($stderr, $message, 'says why');
		like($stdout, qr/^not verified/m, 'and no verdict') if $stdout ne '';
	};
}

# --- an export in memory --------------------------------------------------------

# Rows are hashes of COPY's text, as it stands in the file.
sub load {
	my %export;
	for my $scope (keys %file) {
		my @rows = map {
			my %row;
			@row{ @{ $columns{$scope} } } = split /\t/, $_, -1;
			\%row;
		} split /\n/, slurp("$vectors/export/$file{$scope}");
		$export{$scope} = \@rows;
	}
	return \%export;
}

sub store {
	my ($export) = @_;
	my $directory = tempdir(DIR => $scratch);
	for my $scope (keys %file) {
		my @lines = map { join("\t", @$_{ @{ $columns{$scope} } }) . "\n" } @{ $export->{$scope} };
		spew("$directory/$file{$scope}", join '', @lines);
	}
	return $directory;
}

# A change to the export leads to these findings, whatever else is compared with it.
sub tampered {
	my ($what, $change, $expected, @arguments) = @_;
	my $export = load();
	$change->($export);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	finds($what, $expected, '--export', store($export), @arguments);
}

sub row_at {
	my ($export, $scope, $lane, $seq) = @_;
	my ($row) = grep { $_->{lane} == $lane && $_->{seq} == $seq } @{ $export->{$scope} };
	return $row // die "no $scope $lane/$seq";
}

sub remove {
	my ($export, $scope, $unwanted) = @_;
	$export->{$scope} = [ grep { !$unwanted->($_) } @{ $export->{$scope} } ];
}

sub sort_by_id {
	my ($export, $scope) = @_;
	$export->{$scope} = [ sort { $a->{id} <=> $b->{id} } @{ $export->{$scope} } ];
}

# --- the chain, once more ---------------------------------------------------------

my %unescaped = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", v => "\x0b", '\\' => '\\');

# A value as it stands in the file.
sub copy_text {
	my ($value) = @_;
	return '\\N' unless defined $value;
	my %escaped = reverse %unescaped;
	utf8::encode($value);
	return $value =~ s/([\b\f\n\r\t\x0b\\])/\\$escaped{$1}/gr;
}

sub text_field {
	my ($text) = @_;
	return pack 'C', 0 if $text eq '\\N';
	$text =~ s/\\(.)/$unescaped{$1}/g;
	return pack 'C N/a*', 3, $text;
}

sub record_bytes {
	my ($scope, $row) = @_;
	my $bytes = pack 'C C', 1, $scope_number{$scope};
	for my $column (@{ $columns{$scope} }) {
		next if $column eq 'hash';
		$bytes .=
			  $is_text{$column}    ? text_field($row->{$column})
			: $column eq 'heads'   ? pack('C N/a*', 4, sha256(pack 'H*', $row->{heads}))
			: $column =~ /root|previous/ ? pack('C N/a*', 4, pack 'H*', $row->{$column})
			:                        pack('C q>', $column =~ /_us$/ ? 2 : 1, $row->{$column});
	}
	return $bytes;
}

sub lane_rows {
	my ($export, $scope, $lane) = @_;
	return sort { $a->{seq} <=> $b->{seq} } grep { $_->{lane} == $lane } @{ $export->{$scope} };
}

# Hashes a lane anew, as if what is in it now had always been.
sub rechain {
	my ($export, $scope, $lane) = @_;
	my $hash = "\0" x 32;
	for my $row (lane_rows($export, $scope, $lane)) {
		$hash = sha256($hash . record_bytes($scope, $row));
		$row->{hash} = unpack 'H*', $hash;
	}
}

sub tree_root {
	my @hashes = map { sha256("\0" . pack 'H*', $_->{hash}) } @_;
	return sha256('') unless @hashes;
	# Level by level; the odd one out goes up as it is, which makes the same tree.
	while (@hashes > 1) {
		my @above;
		while (my ($left, $right) = splice @hashes, 0, 2) {
			push @above, defined $right ? sha256("\1$left$right") : $left;
		}
		@hashes = @above;
	}
	return $hashes[0];
}

sub heads_of {
	my ($seal) = @_;
	return map { [ unpack 'C n q> H64', $_ ] } unpack '(a43)*', pack 'H*', $seal->{heads};
}

# The last seq of a lane that a seal covers.
sub sealed_to {
	my ($scope, $lane, $number) = @_;
	my ($head) = grep { $_->[0] == $scope_number{$scope} && $_->[1] == $lane } heads_of(load()->{seal}[ $number - 1 ]);
	return $head->[2];
}

# Seals the ledger anew, at the same places.
sub reseal {
	my ($export) = @_;
	my (%before, $previous);
	for my $seal (@{ $export->{seal} }) {
		my (%upto, $heads);
		for my $head (heads_of($seal)) {
			my ($number, $lane, $seq) = @$head;
			my $scope = $number == 1 ? 'transfer' : 'audit';
			$upto{$scope}{$lane} = $seq;
			$heads .= pack 'C n q> H64', $number, $lane, $seq, row_at($export, $scope, $lane, $seq)->{hash};
		}
		for my $scope (qw(transfer audit)) {
			my @rows = grep {
				$_->{seq} > ($before{$scope}{ $_->{lane} } // 0) && $_->{seq} <= ($upto{$scope}{ $_->{lane} } // 0)
			} @{ $export->{$scope} };
			$seal->{"${scope}_root"} = unpack 'H*', tree_root(sort { $a->{id} <=> $b->{id} } @rows);
			$seal->{"${scope}s"} = @rows;
		}
		%before = %upto;
		$seal->{heads} = unpack 'H*', $heads;
		$seal->{previous} = $previous // '0' x 64;
		$seal->{hash} = $previous = unpack 'H*', sha256(record_bytes('seal', $seal));
	}
}

# --- intact -----------------------------------------------------------------------

my @export = ('--export', "$vectors/export");
my @digests = map { ('--digest', "$vectors/digest_$_.json") } 1 .. 3;
my @signed = ('--digest', "$vectors/digest_signed.json", '--public-key', "$vectors/public_key.pem");

finds('an intact export', [], @export);
finds('and its digests', [], @export, @digests);
finds('a signed digest', [], @export, @signed);
finds('proofs against the export', [],
	@export, '--proof', "$vectors/inclusion_transfer.json", '--consistency', "$vectors/consistency.json");

{
	my $export = load();
	rechain($export, $_->[0], $_->[1]) for map { ([ transfer => $_ ], [ audit => $_ ]) } 0, 3, 17, 1023;
	reseal($export);
	is_deeply($export, load(), 'Perl computes the same hashes, trees and seals');

	my $records = JSON::PP->new->utf8->decode(slurp("$vectors/records.json"));
	for my $vector (grep { $_->{scope} =~ /transfer|audit/ } @$records) {
		my %row = map { $_ => copy_text($vector->{fields}{$_}) } keys %{ $vector->{fields} };
		my $bytes = record_bytes($vector->{scope}, \%row);
		is(unpack('H*', $bytes), $vector->{bytes}, "bytes of $vector->{what}");
		is(sha256_hex(pack('H*', $vector->{previous}) . $bytes), $vector->{hash}, 'and its hash');
	}
}

{
	my ($status, $stdout) = run_verify(@export, @digests);
	is($status, 0, 'in words: exit status');
	is($stdout, "320 transfers (280 sealed), 160 audit records (140 sealed), 3 seals\nintact\n", 'in words');
	($status, $stdout) = run_verify(@export);
	is($status, 3, 'without a digest: exit status');
	like($stdout, qr/^no digest was given.*\nconsistent$/m, 'without a digest it says what that leaves open');
	(undef, $stdout) = run_verify(@export, '--digest', "$vectors/digest_2.json");
	like($stdout, qr/^the newest digest is of seal 2: .*\nintact$/m, 'so with an older one');
	my $export = load();
	row_at($export, 'transfer', 3, 12)->{amount} = 1;
	($status, $stdout) = run_verify('--export', store($export));
	like($stdout, qr/^altered: transfer lane 3 seq 12 id \d+: its bytes .* [0-9a-f]{64}, it says [0-9a-f]{64}$/m,
		'a finding on a line');
	like($stdout, qr/^not intact: 1 finding$/m, 'the verdict');
	finds('an empty ledger', [], '--export', store({ transfer => [], audit => [], seal => [] }));
}

# --- one value altered --------------------------------------------------------------

for my $scope (qw(transfer audit)) {
	for my $column (grep { !/^(id|hash)$/ } @{ $columns{$scope} }) {
		for my $seq (1, 12) {
			tampered(
				"$column of a $scope record with seq $seq altered",
				sub {
					my $value = \row_at($_[0], $scope, 3, $seq)->{$column};
					$$value = $$value eq '\\N' ? '' : $is_text{$column} ? '\\N' : $$value + 1;
				},
				[
					  $column eq 'lane' ? "altered $scope 4/$seq"
					: $column eq 'seq'  ? "altered $scope 3/" . ($seq + 1)
					:                     "altered $scope 3/$seq"
				]);
		}
	}
	tampered("hash of a $scope record altered",
		sub { row_at($_[0], $scope, 3, 12)->{hash} =~ tr/0-9a-f/1-9a-f0/ }, ["altered $scope 3/12"]);
	tampered(
		"hash of a lane's head altered, $scope",
		sub { row_at($_[0], $scope, 3, sealed_to($scope, 3, 1))->{hash} =~ tr/0-9a-f/1-9a-f0/ },
		[ "altered $scope 3/" . sealed_to($scope, 3, 1) ]);
	tampered("a record with an absurd seq, $scope",
		sub { row_at($_[0], $scope, 3, 12)->{seq} = 9223372036854775807 },
		["altered $scope 3/9223372036854775807"]);
	tampered(
		"a record with an absurd seq and other content, $scope",
		sub { my $row = row_at($_[0], $scope, 3, 12); $row->{seq} = 9223372036854775807; $row->{txid} = 1 },
		[ "altered $scope 3/9223372036854775807", "missing $scope 3/12" ]);
	tampered(
		"a record with another seq and content, $scope",
		sub { my $row = row_at($_[0], $scope, 3, 12); $row->{seq} = 5000; $row->{txid} = 1 },
		["altered $scope 3/5000"]);
	tampered(
		"id altered, within its lane and place, $scope",
		sub { my $row = row_at($_[0], $scope, 3, 12); $row->{id} ^= 1 },
		["altered $scope 3/12"]);
	tampered(
		"id altered to one of another lane, $scope",
		sub { row_at($_[0], $scope, 3, 12)->{id} ^= 1 << 6; sort_by_id($_[0], $scope) },
		[ "altered $scope 3/12", "missing $scope 3/12" ]);
}

# --- rows gone, added, moved --------------------------------------------------------

for my $scope (qw(transfer audit)) {
	my $in = sub { my ($lane, $from, $to) = @_; sub { $_[0]{lane} == $lane && $_[0]{seq} >= $from && $_[0]{seq} <= $to } };
	my $sealed = sealed_to($scope, 17, 3);
	my $rows = load()->{$scope};
	my ($twins) = grep { $rows->[ $_ - 1 ]{lane} == $rows->[$_]{lane} } 10 .. $#$rows;

	tampered("a $scope record deleted", sub { remove($_[0], $scope, $in->(17, 5, 5)) },
		["missing $scope 17/5"]);
	tampered("the first one deleted, $scope", sub { remove($_[0], $scope, $in->(17, 1, 1)) },
		["missing $scope 17/1"]);
	tampered("some in a row deleted, $scope", sub { remove($_[0], $scope, $in->(17, 5, 8)) },
		["missing $scope 17/5..8"]);
	tampered("here and there deleted, $scope",
		sub { remove($_[0], $scope, $in->(17, $_, $_)) for 5, 7, 9; remove($_[0], $scope, $in->(0, 2, 3)) },
		[ map { "missing $scope $_" } '17/5', '17/7', '17/9', '0/2..3' ]);
	tampered("a lane's tail deleted, $scope", sub { remove($_[0], $scope, $in->(17, 11, 1e9)) },
		["truncated $scope 17/11..$sealed"]);
	tampered("a whole lane deleted, $scope", sub { remove($_[0], $scope, $in->(17, 1, 1e9)) },
		["truncated $scope 17/1..$sealed"]);
	tampered("what is not sealed deleted, $scope", sub { remove($_[0], $scope, $in->(17, $sealed + 1, 1e9)) }, []);

	my $add = sub {
		my ($export, $lane, $seq, %changes) = @_;
		my $row = { %{ row_at($export, $scope, $lane, $seq) }, %changes };
		$row->{id} += 1;
		push @{ $export->{$scope} }, $row;
		sort_by_id($export, $scope);
	};
	tampered("a copy inserted, $scope", sub { $add->($_[0], 17, 6) }, ["inserted $scope 17/6"]);
	tampered("the same row twice, $scope",
		sub { splice @{ $_[0]{$scope} }, 20, 0, { %{ $_[0]{$scope}[20] } } },
		["inserted $scope $rows->[20]{lane}/$rows->[20]{seq}"]);
	tampered("one inserted with a seq far ahead, $scope", sub { $add->($_[0], 17, 6, seq => 4000, hash => 'ab' x 32) },
		["inserted $scope 17/4000"]);

	tampered("one inserted with a seq ahead, $scope", sub { $add->($_[0], 17, 4, seq => 8, hash => 'ab' x 32) },
		["inserted $scope 17/8"]);
	tampered(
		"some deleted, one of them put back later, $scope",
		sub {
			remove($_[0], $scope, $in->(17, $_, $_)) for 5, 6, 8;
			row_at($_[0], $scope, 17, 7)->{id} = row_at($_[0], $scope, 17, 10)->{id} ^ 1;
			sort_by_id($_[0], $scope);
		},
		[ "missing $scope 17/5..6", "reordered $scope 17/7", "missing $scope 17/8" ]);
	tampered(
		"the lines of two records swapped, $scope",
		sub {
			my $rows = $_[0]{$scope};
			@$rows[ 20, 21 ] = @$rows[ 21, 20 ];
		},
		[ do { my $row = load()->{$scope}[20]; "reordered $scope $row->{lane}/$row->{seq}" } ]);
	tampered(
		"the lines of two records of a lane swapped, $scope",
		sub {
			my $rows = $_[0]{$scope};
			@$rows[ $twins - 1, $twins ] = @$rows[ $twins, $twins - 1 ];
		},
		[ do { my $row = load()->{$scope}[ $twins - 1 ]; "reordered $scope $row->{lane}/$row->{seq}" } ]);
	tampered(
		"all but the ids of two records swapped, $scope",
		sub {
			my ($one, $other) = map { row_at($_[0], $scope, 17, $_) } 6, 7;
			for my $column (grep { $_ ne 'id' } @{ $columns{$scope} }) {
				($one->{$column}, $other->{$column}) = ($other->{$column}, $one->{$column});
			}
		},
		["reordered $scope 17/6"]);
	tampered(
		"the seqs of two records swapped, $scope",
		sub {
			my ($one, $other) = map { row_at($_[0], $scope, 17, $_) } 6, 7;
			($one->{seq}, $other->{seq}) = ($other->{seq}, $one->{seq});
		},
		[ "altered $scope 17/7", "reordered $scope 17/6" ]);
}

# --- by one who can hash ---------------------------------------------------------------

for my $scope (qw(transfer audit)) {
	my $change = sub { row_at($_[0], $scope, 17, 5)->{txid} += 1 };
	my $head = sealed_to($scope, 17, 1);

	tampered("a lane rewritten, with valid hashes, $scope", sub { $change->($_[0]); rechain($_[0], $scope, 17) },
		["rewritten $scope 17/$head"]);
	tampered(
		"a lane rewritten after the first seal, $scope",
		sub { row_at($_[0], $scope, 17, $head + 1)->{txid} += 1; rechain($_[0], $scope, 17) },
		[ "rewritten $scope 17/" . sealed_to($scope, 17, 2) ]);
	tampered(
		"a record taken out, the rest numbered and hashed anew, $scope",
		sub {
			remove($_[0], $scope, sub { $_[0]{lane} == 17 && $_[0]{seq} == 5 });
			$_->{seq} -= $_->{seq} > 5 for lane_rows($_[0], $scope, 17);
			rechain($_[0], $scope, 17);
		},
		[ "rewritten $scope 17/$head" ]);
	tampered(
		"a head's hash altered, and the lane rewritten after it, $scope",
		sub {
			row_at($_[0], $scope, 17, $head + 1)->{txid} += 1;
			rechain($_[0], $scope, 17);
			row_at($_[0], $scope, 17, $head)->{hash} =~ tr/0-9a-f/1-9a-f0/;
		},
		[ "altered $scope 17/$head", "rewritten $scope 17/" . sealed_to($scope, 17, 2) ]);
	tampered(
		"two records of one id, $scope",
		sub {
			row_at($_[0], $scope, 17, 5)->{id} = row_at($_[0], $scope, 17, 4)->{id};
			sort_by_id($_[0], $scope);
			rechain($_[0], $scope, 17);
			reseal($_[0]);
		},
		["inserted $scope 17/5"]);
	tampered(
		"an unsealed record with an id that is sealed, $scope",
		sub {
			my ($sealed, $row) = map { row_at($_[0], $scope, 17, sealed_to($scope, 17, 3) + $_) } 0, 1;
			$row->{id} = $sealed->{id} | 63;
			rechain($_[0], $scope, 17);
			sort_by_id($_[0], $scope);
		},
		[ "inserted $scope 17/" . (sealed_to($scope, 17, 3) + 1) ]);

	my $everything = sub {
		$change->($_[0]);
		rechain($_[0], $scope, 17);
		reseal($_[0]);
	};
	tampered("everything rewritten, seals too, $scope: only a digest tells", $everything, []);
	tampered("a digest tells, $scope", $everything, ['rewritten digest 1'], '--digest', "$vectors/digest_1.json");
	tampered("every digest tells, $scope", $everything, [ map { "rewritten digest $_" } 1 .. 3, 3 ],
		@digests, '--digest', "$vectors/digest_signed.json");
	tampered("the proofs tell too, $scope", $everything,
		[ 'rewritten proof 2', map { "rewritten consistency $_" } 1 .. 3 ],
		'--proof', "$vectors/inclusion_$scope.json", '--consistency', "$vectors/consistency.json");
}

# --- seals -----------------------------------------------------------------------------

for my $column (@{ $columns{seal} }) {
	next if $column eq 'number';
	for my $number (1 .. 3) {
		tampered(
			"$column of seal $number altered",
			sub {
				my $value = \$_[0]{seal}[ $number - 1 ]{$column};
				if (length $$value < 32) { $$value += 1 } else { $$value =~ tr/0-9a-f/1-9a-f0/ }
			},
			["rewritten seal $number"]);
	}
}

# Seals whose own hash is right, but not what they say.
sub resealed {
	my ($what, $change, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	tampered(
		$what,
		sub {
			my $seals = $_[0]{seal};
			$change->($seals);
			for my $i (0 .. $#$seals) {
				$seals->[$i]{previous} = $seals->[ $i - 1 ]{hash} if $i > 0;
				$seals->[$i]{hash} = unpack 'H*', sha256(record_bytes('seal', $seals->[$i]));
			}
		},
		$expected);
}

for my $scope (qw(transfer audit)) {
	resealed("a forged ${scope}_root", sub { $_[0][1]{"${scope}_root"} =~ tr/0-9a-f/1-9a-f0/ }, ['rewritten seal 2']);
	resealed("a forged count of ${scope}s", sub { $_[0][1]{"${scope}s"} += 1 }, ['rewritten seal 2']);
}
{
	my @second = grep { $_->{seq} > sealed_to('transfer', $_->{lane}, 1) && $_->{seq} <= sealed_to('transfer', $_->{lane}, 2) }
		@{ load()->{transfer} };
	my ($oldest, $newest) = map { "inserted transfer $_->{lane}/$_->{seq}" } @second[ 0, -1 ];
	resealed('a record older than its seal allows', sub { $_[0][0]{from_id} = $second[0]{id} + 1 }, [$oldest]);
	resealed('a record newer than its seal allows', sub { $_[0][1]{until_id} = $second[-1]{id} - 1 }, [$newest]);
}
resealed(
	'heads that go back',
	sub {
		substr($_[0][1]{heads}, 0, 86) = substr $_[0][0]{heads}, 0, 86;
		substr($_[0][1]{heads}, 20, 2) = '01';
	},
	['rewritten seal 2']);
resealed(
	'heads that go back in one lane and ahead in another',
	sub {
		substr($_[0][1]{heads}, 20, 2) = '01';
		substr($_[0][1]{heads}, 86 + 18, 4) = 'ffff';
	},
	['rewritten seal 2']);
tampered(
	'a seal that names another before it',
	sub {
		my $last = $_[0]{seal}[2];
		$last->{previous} =~ tr/0-9a-f/1-9a-f0/;
		$last->{hash} = unpack 'H*', sha256(record_bytes('seal', $last));
	},
	['rewritten seal 3']);

# A fourth seal, of nothing.
for my $forged (0, 1) {
	tampered(
		$forged ? 'a seal of nothing, with a root' : 'a seal of nothing',
		sub {
			my $seals = $_[0]{seal};
			my %empty = (number => 4, transfers => 0, audits => 0, previous => $seals->[2]{hash});
			@empty{qw(transfer_root audit_root)} = (sha256_hex(''), sha256_hex($forged ? 'x' : ''));
			push @$seals, my $seal = { %{ $seals->[2] }, %empty };
			$seal->{hash} = unpack 'H*', sha256(record_bytes('seal', $seal));
		},
		[ $forged ? 'rewritten seal 4' : () ]);
}
resealed('a head with another hash for the same seq', sub { $_[0][1]{heads} = $_[0][0]{heads} =~ s/..$/00/r }, ['rewritten seal 2']);
resealed('a lane left out of heads', sub { substr($_[0][2]{heads}, 0, 86) = '' }, ['rewritten seal 3']);
resealed('heads out of order', sub { $_[0][2]{heads} =~ s/^(.{86})(.{86})/$2$1/ }, ['rewritten seal 3']);
resealed('heads with a byte too many', sub { $_[0][2]{heads} .= '00' }, ['rewritten seal 3']);
for my $seq (0, -1, 2**62) {
	resealed("a lane in heads with seq $seq",
		sub { substr($_[0][2]{heads}, -86, 0) = unpack 'H*', pack 'C n q> x32', 2, 1022, $seq }, ['rewritten seal 3']);
}
resealed('heads cut off', sub { $_[0][2]{heads} =~ s/..$// }, ['rewritten seal 3']);

tampered('a seal in the middle deleted', sub { splice @{ $_[0]{seal} }, 1, 1 }, ['missing seal 2']);
tampered('the first seal deleted', sub { shift @{ $_[0]{seal} } }, ['missing seal 1']);
tampered('the last seal deleted', sub { pop @{ $_[0]{seal} } }, []);
tampered('the last seal deleted, which a digest has seen', sub { pop @{ $_[0]{seal} } }, ['truncated digest 3'],
	'--digest', "$vectors/digest_3.json");
tampered('all seals deleted', sub { $_[0]{seal} = [] }, ['truncated digest 1'], '--digest', "$vectors/digest_1.json");
tampered('a seal twice', sub { splice @{ $_[0]{seal} }, 1, 0, { %{ $_[0]{seal}[1] } } }, ['inserted seal 2']);

# --- digests and proofs ----------------------------------------------------------------

my $json = JSON::PP->new->utf8->canonical;
my $documents = 0;

# One of the vectors with a change, as a file.
sub changed {
	my ($name, $change) = @_;
	my $document = $json->decode(slurp("$vectors/$name"));
	local $_ = $document;
	$change->();
	return spew("$scratch/document_" . $documents++, $json->encode($document));
}

my $flip = sub { $_[0] =~ tr/0-9a-f/1-9a-f0/ };
my @key = ('--public-key', "$vectors/public_key.pem");

finds('a digest with another hash', ['rewritten digest 2'],
	@export, '--digest', changed('digest_2.json', sub { $flip->($_->{hash}) }));
finds('a digest of another seal', ['rewritten digest 1'],
	@export, '--digest', changed('digest_2.json', sub { $_->{seal} = 1 }));
finds('a signature of another seal', [ 'rewritten digest 1', 'rewritten digest 1' ],
	@export, '--digest', changed('digest_signed.json', sub { $_->{seal} = 1 }), @key);
finds('a wrong signature', ['rewritten digest 3'],
	@export, '--digest', changed('digest_signed.json', sub { $flip->($_->{signature}) }));
finds('a short signature', ['rewritten digest 3'],
	@export, '--digest', changed('digest_signed.json', sub { $_->{signature} = 'ab' }));
finds('another key', ['rewritten digest 3'],
	@export, '--digest', changed('digest_signed.json', sub { $flip->($_->{public_key}) }), @key);
# Who holds no trusted key may still sign with a key of his own.
my $other_key = spew("$scratch/other.pem",
	"-----BEGIN PUBLIC KEY-----\n" . encode_base64(pack('H*', '302a300506032b6570032100') . 'k' x 32) . "-----END PUBLIC KEY-----\n");
finds('a signature by a key that is not trusted', ['rewritten digest 3'],
	@export, '--digest', "$vectors/digest_signed.json", '--public-key', $other_key);
finds('a signature without a key', ['rewritten digest 3'],
	@export, '--digest', changed('digest_signed.json', sub { delete $_->{public_key} }));
finds('a key, but no signature', ['rewritten digest 3'], @export, '--digest', "$vectors/digest_3.json", @key);

my @consistency = ('--consistency', "$vectors/consistency.json");
for my $scope (qw(transfer audit)) {
	my $name = "inclusion_$scope.json";
	my @proof = ('--proof', "$vectors/$name");
	finds("an inclusion proof, $scope", [], @proof);
	finds("under its seal's digest, $scope", [], @proof, '--digest', "$vectors/digest_2.json");
	finds("under a later digest, $scope", [], @proof, @consistency, @signed);
	finds("not under a forged digest, $scope", ['rewritten digest 2'],
		@proof, '--digest', changed('digest_2.json', sub { $flip->($_->{hash}) }));
	cannot("under a later digest, without the seals between, $scope", qr/consistency proof .* is needed/,
		@proof, '--digest', "$vectors/digest_3.json");

	my %wrong = (
		'another record' => sub { $_->{record} =~ s/.$/0/; $_->{record} =~ s/(.)$/$1 eq '0' ? 1 : 0/e },
		'another previous' => sub { $flip->($_->{previous}) },
		'another id' => sub { $_->{id} += 1 },
		'another scope' => sub { $_->{scope} = $_->{scope} eq 'audit' ? 'transfer' : 'audit' },
		'another index' => sub { $_->{index} ^= 1 },
		'an index beyond the tree' => sub { $_->{index} = $_->{size} },
		'a negative index' => sub { $_->{index} = -1 },
		'another size' => sub { $_->{size} += 1 },
		'another path' => sub { $flip->($_->{path}[1]) },
		'a shorter path' => sub { pop @{ $_->{path} } },
		'a longer path' => sub { push @{ $_->{path} }, '0' x 64 },
	);
	finds("$_, $scope", ['altered proof 2'], '--proof', changed($name, $wrong{$_})) for sort keys %wrong;
	finds("a forged seal, $scope", ['rewritten proof 2'],
		'--proof', changed($name, sub { $flip->($_->{seal}{transfer_root}) }));
}

finds('a consistency proof', [], @consistency);
finds('with its digests', [], @consistency, @digests);
finds('a digest that is not in it', ['rewritten digest 1'],
	@consistency, '--digest', changed('digest_1.json', sub { $flip->($_->{hash}) }));
finds('a forged seal in it', ['rewritten consistency 2'],
	'--consistency', changed('consistency.json', sub { $_->{seals}[1]{until_id} += 1 }));
finds('one that leaves out a seal', ['missing consistency 3'],
	'--consistency', changed('consistency.json', sub { splice @{ $_->{seals} }, 1, 1 }));
finds('one whose seals do not link', ['rewritten consistency 2'],
	'--consistency', changed('consistency.json', sub {
		my $seal = $_->{seals}[0];
		$seal->{from_id} += 1;
		my @fields = map { $_ eq 'heads' ? 'heads_hash' : $_ } grep { $_ ne 'hash' } @{ $columns{seal} };
		my $bytes = join '', "\1\3", map {
			/root|previous|heads/ ? pack('C N/a*', 4, pack 'H*', $seal->{$_}) : pack('C q>', /_us$/ ? 2 : 1, $seal->{$_})
		} @fields;
		$seal->{hash} = unpack 'H*', sha256($bytes);
	}));

# --- what cannot be read ---------------------------------------------------------------

sub malformed {
	my ($what, $scope, $edit, $message) = @_;
	my $directory = store(load());
	local $_ = slurp("$directory/$file{$scope}");
	$edit->();
	spew("$directory/$file{$scope}", $_);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cannot("$what ($scope)", qr/$file{$scope}:\d+: .*$message/, '--export', $directory);
}

for my $scope (qw(transfer audit seal)) {
	malformed('a file cut off', $scope, sub { chop }, qr/the file ends in the middle/);
	malformed('a line cut off', $scope, sub { s/\t[0-9a-f]+\n\z/\n/ }, qr/wrong number of columns/);
	malformed('a column too many', $scope, sub { s/\n\z/\tx\n/ }, qr/wrong number of columns/);
	malformed('an empty line', $scope, sub { s/\n/\n\n/ }, qr/wrong number of columns/);
	malformed('a number that is none', $scope, sub { s/^\d+/1e3/ }, qr/not a number/);
	malformed('a number too large', $scope, sub { s/^\d+/99999999999999999999/ }, qr/does not fit 64 bits/);
	malformed('a hash that is not hexadecimal', $scope, sub { s/.\n/g\n/ }, qr/not hexadecimal/);
	malformed('a hash too short', $scope, sub { s/..\n/\n/ }, qr/64 hexadecimal digits/);
	malformed('NULL for a number', $scope, sub { s/^\d+/\\N/ }, qr/NULL where a value must be/);
	malformed('a bad escape', $scope, sub { s/\t/\\q\t/ }, qr/a backslash that COPY would not write/);
	malformed('an escape cut off', $scope, sub { s/\n/\\\n/ }, qr/ends within an escape/);
	malformed('text after NULL', $scope, sub { s/^\d+/\\Nx/ }, qr/text after/);
}
malformed('a seal number that none has', 'seal', sub { s/^1/0/ }, qr/a number that no seal has/);
malformed('heads that are not hexadecimal', 'seal', sub { s/([0-9a-f]{86,})/$1 =~ s{..$}{zz}r/e }, qr/not hexadecimal/);
malformed('heads with half a byte', 'seal', sub { s/([0-9a-f]{86,})/${1}0/ }, qr/odd number/);

for my $name (sort values %file) {
	my $directory = store(load());
	unlink "$directory/$name";
	cannot("without $name", qr/cannot open .*\Q$name\E/, '--export', $directory);
}

my %unreadable = (
	'no JSON' => '{"version": 1, ',
	'no object' => '[1]',
	'nothing' => '',
	'another version' => '{"version": 2}',
	'a version in words' => '{"version": "1"}',
	'no members' => '{"version": 1}',
	'a hash that is none' => '{"version": 1, "seal": 1, "hash": "xyz"}',
	'a number as text' => '{"version": 1, "seal": "1", "hash": "' . '0' x 64 . '"}',
	'a fraction' => '{"version": 1, "seal": 1.5, "hash": "' . '0' x 64 . '"}',
	'a number too large' => '{"version": 1, "seal": 9223372036854775808, "hash": "' . '0' x 64 . '"}',
	'deeply nested' => '[' x 100_000,
	'no UTF-8' => "{\"version\": 1, \"seal\": \"\xff\"}",
);
for my $what (sort keys %unreadable) {
	my $document = spew("$scratch/unreadable", $unreadable{$what});
	cannot("$what for $_->[0]", qr/unreadable: /, @{ $_->[1] }, $_->[0], $document)
		for [ '--digest', \@export ], [ '--proof', [] ], [ '--consistency', [] ];
}
cannot('a proof with no list for a path', qr/path is no array/, '--proof', changed('inclusion_audit.json', sub { $_->{path} = {} }));
cannot('a consistency proof of nothing', qr/without seals/, '--consistency', changed('consistency.json', sub { $_->{seals} = [] }));
cannot('a key that is none', qr/not an Ed25519 public key/, @export, '--digest', "$vectors/digest_3.json",
	'--public-key', "$vectors/digest_3.json");
cannot('a file that is not there', qr/cannot read/, @export, '--digest', "$scratch/none");
cannot('a directory for a file', qr/./, @export, '--digest', $scratch);

# --- the command line ------------------------------------------------------------------

cannot('an unknown option', qr/see ledger_verify --help/, '--frobnicate');
cannot('an argument', qr/takes options only/, 'shop');
cannot('two sources', qr/two sources/, @export, '--dbname', 'shop');
cannot('a key without a digest', qr/is for a --digest/, @export, @key);
cannot('a server that is not there', qr/./, '--dbname', "host=$scratch dbname=none");

{
	my ($status, $stdout, $stderr) = run_verify('--help');
	is($status, 0, '--help');
	like($stdout, qr/^usage: ledger_verify /, 'tells the usage');
	($status, $stdout) = run_verify('--version');
	is($status, 0, '--version');
	my ($version) = slurp("$vectors/../../ledger.control") =~ /default_version = '(.*)'/;
	is($stdout, "ledger_verify $version\n", "is the extension's");

	($status, $stdout) = run_verify('--json', @export, '--digest', "$scratch/none");
	is($status, 2, '--json where it cannot verify');
	my $told = JSON::PP->new->utf8->decode($stdout);
	is($told->{verdict}, 'not verified', 'says so');
	like($told->{error}, qr/cannot read/, 'and why');
	($status, $stdout, $stderr) = run_verify('--json', @export, '--no-progress');
	is($stderr, '', 'nothing on stderr');
	is_deeply(
		JSON::PP->new->utf8->decode($stdout),
		{
			version => 1,
			verdict => 'consistent',
			findings => [],
			counts => { transfers => 320, transfers_sealed => 280, audits => 160, audits_sealed => 140, seals => 3, balances => 0, digests => 0, digest_of_seal => 0 }
		},
		'--json of what is intact');
}

done_testing();
