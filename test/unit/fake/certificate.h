#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/* A certificate that signed itself, and its key, in files of a directory of the test's own. */

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct certificate {
    char folder[64];
    char file[96], key[96];
};

/* `names` as OpenSSL writes them: "DNS:a.example,URI:spiffe://a/b". It holds for so many seconds.
 * False when it cannot be made. */
static inline bool certificate_make_for(struct certificate *made, const char *names, long seconds)
{
    snprintf(made->folder, sizeof(made->folder), "/tmp/sarsen-tls-XXXXXX");
    if (!mkdtemp(made->folder))
        return false;
    snprintf(made->file, sizeof(made->file), "%s/cert.pem", made->folder);
    snprintf(made->key, sizeof(made->key), "%s/key.pem", made->folder);

    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), seconds);
    X509_NAME *name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_set_pubkey(x509, key);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(x509, key, EVP_sha256());

    FILE *file = fopen(made->file, "w"), *key_file = fopen(made->key, "w");
    bool is_written = file && key_file && PEM_write_X509(file, x509) == 1 &&
                      PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (file)
        fclose(file);
    if (key_file)
        fclose(key_file);
    X509_free(x509);
    EVP_PKEY_free(key);
    return is_written;
}

static inline bool certificate_make(struct certificate *made, const char *names)
{
    return certificate_make_for(made, names, 86400);
}

static inline void certificate_remove(const struct certificate *made)
{
    unlink(made->file);
    unlink(made->key);
    rmdir(made->folder);
}
