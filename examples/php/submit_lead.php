<?php
// Hands a filled-in contact form to lead-intake: plain JSON over HTTP, nothing but PHP.
declare(strict_types=1);

/** The service cannot be reached, or is busy. Nothing is lost: send the same form again, with the same requestId. */
final class LeadIntakeAway extends RuntimeException
{
}

/**
 * Submits a form.
 *
 * @param array<string, string|bool> $form requestId (a UUID made once for each filled-in form, kept in the form as a hidden
 *     field), name, company, phone, email, lawfulBasis, consent, noticeVersion
 * @return array{lead: ?array<string, string>, faults: array<string, string>} what was stored; or for each field that is
 *     wrong its reason, such as EMAIL_INVALID, to be shown beside the field. What is not about a field is under "".
 * @throws LeadIntakeAway
 */
function submit_lead(string $url, string $token, array $form): array
{
    // Three attempts: the requestId makes that safe.
    for ($attempt = 1; ; $attempt++) {
        [$status, $answer] = post_json("$url/leadintake.v1.IntakeService/SubmitLead", $token, $form);
        if ($status === 200) {
            return ['lead' => $answer, 'faults' => []];
        }
        if (in_array($status, [400, 409], true)) {
            return ['lead' => null, 'faults' => faults($answer)];
        }
        if ($attempt === 3 || !in_array($status, [0, 429, 503, 504], true)) {
            // Neither the form nor the answer belongs in a log.
            throw new LeadIntakeAway("lead-intake answered with status $status");
        }
        usleep(random_int(100_000, 400_000) * $attempt);
    }
}

/** @return array{int, array<string, mixed>} the HTTP status, 0 if there was no answer, and the answer */
function post_json(string $url, string $token, array $message): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => ["authorization: Bearer $token", 'content-type: application/json', 'connect-timeout-ms: 5000'],
        'content' => json_encode($message, JSON_THROW_ON_ERROR),
        'timeout' => 6,
        'ignore_errors' => true,
        'follow_location' => 0,
    ]]);
    $body = @file_get_contents($url, false, $context);
    if ($body === false || !preg_match('~^HTTP/\S+ (\d{3})~', $http_response_header[0] ?? '', $found)) {
        return [0, []];
    }
    return [(int) $found[1], json_decode($body, true) ?? []];
}

/** @return array<string, string> the reason for each field */
function faults(array $error): array
{
    $faults = [];
    foreach ($error['details'] ?? [] as $detail) {
        foreach ($detail['debug']['fieldViolations'] ?? [] as $violation) {
            $faults[$violation['field']] = $violation['reason'];
        }
    }
    return $faults ?: ['' => $error['details'][0]['debug']['reason'] ?? $error['code'] ?? 'unknown'];
}
