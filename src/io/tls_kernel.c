/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A kernel without TLS says so with ENOENT when a socket asks for it, and is not asked again for as
 * long as the process lives. Its module is loaded by somebody with the right to do so, not by us.
 */

#include "io/tls_kernel.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "io/tls.h"

static atomic_bool is_missing;

bool tls_kernel_is_missing(void)
{
    return atomic_load_explicit(&is_missing, memory_order_relaxed);
}

/* What the kernel is told, as it wants it: where the parts of a nonce lie differs. */
union crypto {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 aes_128;
    struct tls12_crypto_info_aes_gcm_256 aes_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha20;
};

static socklen_t describe(const struct tls_keys *keys, union crypto *crypto)
{
    uint8_t number[8];
    for (unsigned i = 0; i < sizeof(number); i++)
        number[i] = (uint8_t)(keys->number >> (56 - 8 * i));
    crypto->info.version = TLS_1_3_VERSION;
    switch (keys->suite) {
    case TLS_AES_128_GCM:
        crypto->info.cipher_type = TLS_CIPHER_AES_GCM_128;
        tls_expand_label(&keys->secret, "key", crypto->aes_128.key, sizeof(crypto->aes_128.key));
        memcpy(crypto->aes_128.salt, keys->iv, sizeof(crypto->aes_128.salt));
        memcpy(crypto->aes_128.iv, keys->iv + sizeof(crypto->aes_128.salt),
               sizeof(crypto->aes_128.iv));
        memcpy(crypto->aes_128.rec_seq, number, sizeof(number));
        return sizeof(crypto->aes_128);
    case TLS_AES_256_GCM:
        crypto->info.cipher_type = TLS_CIPHER_AES_GCM_256;
        tls_expand_label(&keys->secret, "key", crypto->aes_256.key, sizeof(crypto->aes_256.key));
        memcpy(crypto->aes_256.salt, keys->iv, sizeof(crypto->aes_256.salt));
        memcpy(crypto->aes_256.iv, keys->iv + sizeof(crypto->aes_256.salt),
               sizeof(crypto->aes_256.iv));
        memcpy(crypto->aes_256.rec_seq, number, sizeof(number));
        return sizeof(crypto->aes_256);
    case TLS_CHACHA20_POLY1305: break;
    }
    crypto->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
    tls_expand_label(&keys->secret, "key", crypto->chacha20.key, sizeof(crypto->chacha20.key));
    memcpy(crypto->chacha20.iv, keys->iv, sizeof(crypto->chacha20.iv));
    memcpy(crypto->chacha20.rec_seq, number, sizeof(number));
    return sizeof(crypto->chacha20);
}

bool tls_kernel_take(int fd, const struct tls_keys *keys)
{
    union crypto crypto;
    if (tls_kernel_is_missing())
        return false;
    if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) && errno != EEXIST) {
        if (errno == ENOENT)
            atomic_store(&is_missing, true);
        return false;
    }
    memset(&crypto, 0, sizeof(crypto));
    socklen_t size = describe(keys, &crypto);
    bool is_taken = setsockopt(fd, SOL_TLS, TLS_TX, &crypto, size) == 0;
    OPENSSL_cleanse(&crypto, sizeof(crypto));
    return is_taken;
}

bool tls_kernel_say(int fd, enum tls_content type, struct span content)
{
    union {
        const char *from;
        void *to;
    } base = { content.data };
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(unsigned char))];
    } control;
    struct iovec part = { base.to, content.size };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control.bytes),
    };
    memset(&control, 0, sizeof(control));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_TLS;
    head->cmsg_type = TLS_SET_RECORD_TYPE;
    head->cmsg_len = CMSG_LEN(sizeof(unsigned char));
    *CMSG_DATA(head) = (unsigned char)type;
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)content.size;
}
