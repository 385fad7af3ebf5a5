<?php
// Run by ./scripts/examples php, against the service at SERVICE_URL.
declare(strict_types=1);

require __DIR__ . '/submit_lead.php';

set_error_handler(fn (int $_, string $text) => error_reporting() & E_WARNING ? throw new ErrorException($text) : false);

function check(string $promise, mixed $expected, mixed $found): void
{
    if ($expected !== $found) {
        fwrite(STDERR, "FAILED: $promise\nexpected " . var_export($expected, true) . "\nfound " . var_export($found, true) . "\n");
        exit(1);
    }
    echo "ok: $promise\n";
}

function uuid(): string
{
    $hex = bin2hex(random_bytes(16));
    return preg_replace('/^(.{8})(.{4})(.{4})(.{4})(.{12})$/', '$1-$2-$3-$4-$5', $hex);
}

$url = getenv('SERVICE_URL');
$token = trim(file_get_contents(getenv('SERVICE_DATA') . '/tokens/intake'));
$form = [
    'requestId' => uuid(),
    'name' => 'Åse Ødegård',
    'phone' => '406 05 600',
    'lawfulBasis' => 'LAWFUL_BASIS_CONSENT',
    'consent' => true,
    'noticeVersion' => '1.1',
];

$first = submit_lead($url, $token, $form);
check('a form is stored', 36, strlen($first['lead']['leadId']));
check('a form that is sent again is the same lead', $first, submit_lead($url, $token, $form));
check(
    'everything that is wrong is told, by field',
    ['consent' => 'CONSENT_REQUIRED', 'email' => 'EMAIL_INVALID', 'phone' => 'PHONE_INVALID'],
    sorted(submit_lead($url, $token, ['phone' => 'soon', 'email' => 'ase', 'consent' => false] + $form)['faults']),
);
check(
    'what is not about a field has its reason',
    ['' => 'REQUEST_ID_REUSED'],
    submit_lead($url, $token, ['name' => 'Somebody Else'] + $form)['faults'],
);
try {
    // Nobody listens there.
    submit_lead('http://127.0.0.1:1', $token, $form);
    check('a service that is away is told', true, false);
} catch (LeadIntakeAway $away) {
    check('a service that is away is told, without the form', false, str_contains((string) $away->getMessage(), 'Åse'));
}

function sorted(array $faults): array
{
    ksort($faults);
    return $faults;
}
